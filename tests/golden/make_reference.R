# Write the reference values that R gives for patients.csv: discrimination.json, calibration.json, survival.json.
#
#   Rscript tests/golden/make_reference.R
#
# Each file names the programs and their versions. Digits are kept in full, since the tests compare to 1e-6 and closer.

suppressPackageStartupMessages({
  library(jsonlite)
  library(pROC)
  library(survival)
  library(rms)
})

here <- dirname(normalizePath(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1])))
patients <- read.csv(file.path(here, "patients.csv"))

versions <- function(...) {
  found <- c(R = paste(R.version$major, R.version$minor, sep = "."))
  for (name in c(...)) found[name] <- as.character(packageVersion(name))
  as.list(found)
}

write <- function(name, packages, values) {
  all <- c(list(made_by = "make_reference.R", programs = do.call(versions, as.list(packages))), values)
  text <- toJSON(all, auto_unbox = TRUE, digits = NA, pretty = TRUE, na = "null")
  writeLines(text, file.path(here, name))
}

# --- discrimination: pROC -------------------------------------------------------------------------------------------
curve <- function(d, p) roc(d$y, d[[p]], levels = c(0, 1), direction = "<", quiet = TRUE)

one_auc <- function(d, p) {
  r <- curve(d, p)
  list(n = nrow(d), events = sum(d$y), auc = as.numeric(auc(r)), variance = var(r, method = "delong"),
       ci_plain = as.numeric(ci.auc(r, method = "delong"))[c(1, 3)])
}

paired <- function(d) {
  t <- roc.test(curve(d, "p_first"), curve(d, "p_second"), method = "delong", paired = TRUE)
  list(statistic = as.numeric(t$statistic), p = t$p.value,
       difference = as.numeric(t$estimate[1] - t$estimate[2]), ci = as.numeric(t$conf.int))
}

places <- c(list(all = patients), split(patients, patients$cohort_id))
write("discrimination.json", "pROC", list(
  auc = lapply(places, function(d) list(p_first = one_auc(d, "p_first"), p_second = one_auc(d, "p_second"))),
  paired = lapply(places, paired)
))

# --- calibration: glm, rms::val.prob, isoreg ------------------------------------------------------------------------
tight <- glm.control(epsilon = 1e-14, maxit = 100)

calibration <- function(d, p) {
  q <- d[[p]]
  x <- qlogis(q)
  slope <- glm(d$y ~ x, family = binomial, control = tight)
  level <- glm(d$y ~ offset(x), family = binomial, control = tight)
  # beta calibration: logit P = c + a log(p) + b (-log(1 - p)), unconstrained (Kull 2017)
  beta <- glm(d$y ~ log(q) + I(-log1p(-q)), family = binomial, control = tight)
  v <- val.prob(q, d$y, pl = FALSE)
  steps <- isoreg(q[order(q, -d$y)], d$y[order(q, -d$y)])  # within a tie events first, so that a tie is one block
  at <- tapply(steps$yf, steps$x, function(v) v[1])
  observed <- sum(d$y)
  list(
    intercept_with_offset = unname(coef(level)), intercept_with_offset_se = unname(sqrt(vcov(level)[1, 1])),
    platt = list(intercept = unname(coef(slope)[1]), slope = unname(coef(slope)[2]),
                 slope_se = unname(sqrt(vcov(slope)[2, 2]))),
    beta = list(a = unname(coef(beta)[2]), b = unname(coef(beta)[3]), c = unname(coef(beta)[1])),
    val_prob = as.list(v[c("Intercept", "Slope", "Brier", "C (ROC)", "Emax", "E90", "Eavg")]),
    observed = observed, expected = sum(q), o_e = observed / sum(q),
    isotonic = list(x = as.numeric(names(at)), y = as.numeric(at))
  )
}

write("calibration.json", "rms", list(
  places = lapply(places, function(d) list(p_first = calibration(d, "p_first"), p_second = calibration(d, "p_second")))
))

# --- survival -------------------------------------------------------------------------------------------------------
months <- c(3, 6, 12, 18, 24)
kaplan_meier <- function(d) {
  f <- survfit(Surv(time_months, event) ~ 1, data = d, conf.type = "log-log")
  s <- summary(f, times = months, extend = TRUE)
  q <- quantile(f, .5)
  list(months = months, n_risk = s$n.risk, survival = s$surv, ci_low = s$lower, ci_high = s$upper,
       median = as.numeric(q$quantile), median_low = as.numeric(q$lower), median_high = as.numeric(q$upper))
}

log_rank <- function(formula, d) {
  s <- survdiff(formula, data = d)
  df <- length(s$n) - 1
  list(chisq = s$chisq, df = df, p = pchisq(s$chisq, df, lower.tail = FALSE))
}

cox <- function(formula, d, term, ties = "efron") {
  f <- coxph(formula, data = d, ties = ties, control = coxph.control(eps = 1e-11))
  ci <- summary(f)$conf.int[term, ]
  list(coefficient = unname(coef(f)[term]), se = unname(sqrt(diag(vcov(f))[term])),
       hr = unname(ci["exp(coef)"]), ci = unname(ci[c("lower .95", "upper .95")]))
}

# direction: a high risk means an early event, hence reverse = TRUE
concordances <- function(d, weight, ymax = NULL) {
  f <- concordance(Surv(time_months, event) ~ risk, data = d, reverse = TRUE, timewt = weight, ymax = ymax)
  list(concordance = unname(f$concordance), se = unname(sqrt(f$var)))
}

patients$tertile <- cut(patients$risk, quantile(patients$risk, c(0, 1 / 3, 2 / 3, 1)), include.lowest = TRUE,
                        labels = FALSE)
with_tertiles <- c(list(all = patients), split(patients, patients$cohort_id))
write("survival.json", "survival", list(
  tertile = patients$tertile,
  kaplan_meier = c(lapply(with_tertiles, kaplan_meier),
                   setNames(lapply(split(patients, patients$tertile), kaplan_meier), paste0("tertile_", 1:3))),
  log_rank = list(
    arm = log_rank(Surv(time_months, event) ~ arm, patients),
    tertile = log_rank(Surv(time_months, event) ~ tertile, patients),
    tertile_by_cohort = log_rank(Surv(time_months, event) ~ tertile + strata(cohort_id), patients),
    first_against_third = log_rank(Surv(time_months, event) ~ tertile, patients[patients$tertile != 2, ])
  ),
  cox = list(
    risk = cox(Surv(time_months, event) ~ risk, patients, "risk"),
    risk_breslow = cox(Surv(time_months, event) ~ risk, patients, "risk", "breslow"),
    risk_by_cohort = cox(Surv(time_months, event) ~ risk + strata(cohort_id), patients, "risk"),
    risk_and_arm = cox(Surv(time_months, event) ~ risk + arm, patients, "risk"),
    third_against_first = cox(Surv(time_months, event) ~ I(tertile == 3), patients[patients$tertile != 2, ],
                              "I(tertile == 3)TRUE")
  ),
  harrell = lapply(places, concordances, weight = "n"),
  uno = lapply(places, concordances, weight = "n/G2"),
  uno_until_18 = lapply(places, concordances, weight = "n/G2", ymax = 18)
))
