# Writes tests/golden/meta.json: random-effects summaries by metafor, which immunocast must reproduce.
#   apt-get install r-cran-metafor; Rscript tests/golden/make_meta.R > tests/golden/meta.json
# tau^2 by REML, Hartung-Knapp with the ad-hoc guard, prediction interval with k - 2 degrees of freedom.
suppressMessages(library(metafor))

bcg <- escalc(measure = "RR", ai = tpos, bi = tneg, ci = cpos, di = cneg, data = dat.bcg)
sets <- list(
  bcg = list(y = as.numeric(bcg$yi), v = as.numeric(bcg$vi)),
  alike = list(y = c(0.30, 0.31, 0.28, 0.33), v = c(0.04, 0.05, 0.03, 0.06)),
  two = list(y = c(0.2, 0.9), v = c(0.02, 0.05)),
  three = list(y = c(-0.5, 0.1, 1.2), v = c(0.09, 0.04, 0.16)),
  uneven = list(y = c(0.91, 1.10, 0.45, 0.80, 1.40, 0.2), v = c(0.004, 0.02, 0.01, 0.15, 0.4, 0.03))
)
control <- list(threshold = 1e-13, maxiter = 10000)

one <- function(set) {
  fit <- rma(set$y, set$v, method = "REML", test = "adhoc", control = control)
  dl <- rma(set$y, set$v, method = "DL")
  k <- fit$k
  ahead <- if (k > 2) qt(0.975, k - 2) * sqrt(fit$tau2 + fit$se^2) else NA
  list(y = set$y, v = set$v, tau2_dl = dl$tau2, tau2 = fit$tau2, estimate = as.numeric(fit$beta), se = fit$se,
       ci_low = fit$ci.lb, ci_high = fit$ci.ub, pi_low = as.numeric(fit$beta) - ahead,
       pi_high = as.numeric(fit$beta) + ahead, q = fit$QE, p = fit$QEp)
}

# groups that share persons: correlated errors
y <- c(0.91, 1.10, 0.45, 0.80)
V <- diag(c(0.04, 0.02, 0.05, 0.03))
V[1, 4] <- V[4, 1] <- 0.015
V[2, 4] <- V[4, 2] <- 0.01
mv <- rma.mv(y, V, random = ~ 1 | id, data = data.frame(y = y, id = 1:4), method = "REML",
             control = list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-15, maxit = 10000))
shared <- list(y = y, v = V, tau2 = mv$sigma2, estimate = as.numeric(mv$beta), se_wald = mv$se, q = mv$QE, p = mv$QEp)

number <- function(x) if (length(x) == 1 && is.na(x)) "null" else format(x, digits = 15, scientific = TRUE, trim = TRUE)
json <- function(x) {
  if (is.list(x)) {
    paste0("{", paste(mapply(function(n, v) paste0('"', n, '": ', json(v)), names(x), x), collapse = ", "), "}")
  } else if (is.matrix(x)) {
    paste0("[", paste(apply(x, 1, json), collapse = ", "), "]")
  } else if (is.character(x)) {
    paste0('"', x, '"')
  } else if (length(x) > 1) {
    paste0("[", paste(sapply(x, number), collapse = ", "), "]")
  } else number(x)
}
made <- paste("metafor", packageVersion("metafor"), "on", R.version.string)
cat('{"made_by": "', made, '",\n', sep = "")
cat(paste0('"', names(sets), '": ', sapply(sets, function(s) json(one(s)))), sep = ",\n")
cat(',\n"shared": ', json(shared), "\n}\n", sep = "")
