"""What a header says: the vocabulary's column that it may mean, a unit, a legend, and whether it came too late.

The patterns are those of headers met in published files of patients under immune checkpoint inhibitors, and of
their like in registries and hospital exports. They are matched against the header in plain words (`plain_header`).
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple


def plain_header(header: str) -> str:
    """Words of a header in lower case; names with hyphens as one word.

    >>> [plain_header(h) for h in ("PDL1_TPS(%)", "Best.Confirmed.Response", "priorCTLA4", "highest_grade_iraE")]
    ['pdl1 tps percent', 'best confirmed response', 'prior ctla4', 'highest grade irae']
    """
    text = re.sub(r"(?i)ir[-_. ]?aes?", " irae ", header)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).casefold().replace("%", " percent ")
    text = re.sub(r"[^0-9a-z]+", " ", text)
    text = re.sub(r"\b(pd|pdl|ctla|il|cd) (?=l?\d)", r"\1", text)
    return " ".join(text.split())


class Match(NamedTuple):
    """A column of the vocabulary that a header may mean, and how sure that is from the header alone (0 to 1)."""

    name: str
    score: float


#: Words around a name that do not change what it is.
_QUALIFIERS = re.compile(
    r"\b(at )?(baseline|bl|pre ?treatment|pre ?tx|tx start|at start|screening|value|result|measured|"
    r"clinical|num|"
    r"number of|patients?|original|absolute)\b"
)

#: vocabulary name -> patterns of the whole header (score: surely), patterns of a part of it (perhaps).
_SAY: dict[str, tuple[str, str]] = {
    "patient_id": (
        r"patient ?(id|no|nr|number|identifier|code)?|pt ?id|subject ?(id|no)?|u?subj ?id|usubjid|mrn|"
        r"case ?id|id|"
        r"person ?id|record ?id|anonpt id|shadow id|sample ?(id|name|identifier)|pid|participant ?id",
        r"\b(patient|subject|sample|shadow|study) ?id\b",
    ),
    "cohort_id": (r"cohort id|study id|trial id", r"^$"),
    "site_id": (r"site ?(id|no|number)?|cent(er|re) ?(id)?|hospital|institution|clinic", r"^$"),
    "treatment_start_year": (
        r"(treatment|ici|io|therapy) start year|year of (ici |io )?(treatment|therapy)( start)?|start year|"
        r"year of ici treatment start",
        r"year.*(treatment|therapy).*start|start.*year",
    ),
    "arm": (r"arm|treatment arm|trt01p|actarm|planned arm|trt arm", r"^$"),
    "ancestry": (r"race2?|ancestry|ethnicity|race ethnicity", r"\b(race|ancestry)\b"),
    "regimen": (r"regimen|treatment regimen", r"regimen"),
    "tmb_panel": (r"gene panel|panel|tmb panel|sequencing panel|tmb platform|tmb assay", r"gene panel"),
    "pdl1_assay": (r"pdl1 (assay|antibody|clone)", r"pdl1.*(assay|antibody|clone)"),
    "biopsy_timing": (
        r"biopsy (timing|time ?point)|sample time ?point|timing of biopsy|biopsy context|pre on|time ?point",
        r"(biopsy|sample).*(timing|time ?point|context)",
    ),
    "histology": (r"hist(ology)?|histological (type|subtype)|histo", r"\bhistolog(y|ical)\b"),
    "pdl1_tps": (
        r"(pdl1 )?tps( percent)?|pdl1 (tps|score|tc|tumou?r proportion score|expression|tumou?r|"
        r"percent)( percent)?|"
        r"tumou?r proportion score|pdl1 percent|pdl1|pdl1 expression on tumou?r cells|js pdl1 score|pdl1 ihc",
        r"\btps\b|tumou?r proportion|\bpdl1\b.*(score|percent)",
    ),
    "pdl1_cps": (r"(pdl1 )?cps( score)?|combined positive score", r"\bcps\b|combined positive"),
    "pdl1_ic": (
        r"ic level|pdl1 ic( level| class| score)?|sp142 ic|ic score",
        r"\bic (level|class)\b|"
        r"\bpdl1.*\bic\b",
    ),
    "pdl1_tc": (r"tc level|pdl1 tc( level| class)|sp142 tc|tc score", r"\btc (level|class)\b"),
    "tmb_mut_mb": (
        r"tmb|tmb (score|per ?mb|mut mb|mutations? mb|muts? per mb|nonsynonymous|norm log2)|impact tmb score|"
        r"(tumou?r )?mutation(al)? burden( per mb| per megabase)?|mut(ations?)?( load)? per (mb|megabase)|"
        r"mutations mb",
        r"\btmb\b|mutation(al)? burden|(mut|muts|mutations) (per )?(mb|megabase)",
    ),
    "mutation_count": (
        r"mutation (count|load|number)|(ns ?|non ?syn(onymous)? ?|total )?(muts|mutations)|tmb (counts?|raw)|"
        r"nonsyn(onymous)?|mutational load|n mut(ations)?|nonsynonymous mutations?( count)?|snv count|"
        r"ns ?tmb raw",
        r"mutation(al)? (count|load)|(total|nonsyn\w*) (muts|mutations)",
    ),
    "btmb_count": (r"b ?tmb( count| score)?|blood tmb|ctdna tmb", r"\bb ?tmb\b|blood tmb"),
    "fcna": (
        r"fcna|fga|fraction (of )?(copy number|genome|cna) alter(ed|ation)|fraction genome altered|"
        r"cna (prop|fraction)|"
        r"percent genome altered|copy number alteration fraction|cna burden",
        r"fraction.*genome.*altered|\bfcna\b|\bfga\b",
    ),
    "msi_status": (
        r"msi|msi (status|type|state|score status)|microsatellite (instability )?status|mmr( status)?|msi mss",
        r"\bmsi (status|type)\b|microsatellite",
    ),
    "hla_loh": (r"hla ?loh|loh ?hla|loh in hla( ?i)?|hla loss", r"\bhla\b.*\bloh\b|\bloh\b.*\bhla\b"),
    "hed": (r"hed|hla evolutionary divergence|mean hed", r"\bhed\b"),
    "neoantigen_mut_mb": (
        r"neo ?antigen (burden|load) per (mb|megabase)|neoantigens per mb|neoantigen mut mb",
        r"neo ?antigen.*per (mb|megabase)",
    ),
    "clonal_fraction": (r"clonal (fraction|share|proportion)|fraction clonal", r"^$"),
    "tumor_purity": (r"(tumou?r )?purity|tumou?r (content|cellularity)|cellularity", r"tumou?r purity"),
    "msaf": (r"msaf|max(imum)? (somatic )?(allele frequency|vaf)|max vaf", r"\bmsaf\b"),
    "egfr_mut": (r"egfr( mut(ation|ated)?( status)?| status)?|egfrmut|egfr driver", r"^$"),
    "kras_mut": (r"kras( mut(ation|ated)?( status)?| status)?|krasmut|kras driver", r"^$"),
    "stk11_mut": (r"stk11( mut(ation|ated)?( status)?| status)?|stk11mut|stk11 driver|lkb1", r"^$"),
    "alk_fusion": (r"alk( fusion| rearrangement| status| driver)?|eml4mut|eml4 alk|alk fusion status", r"^$"),
    "gep_score": (
        r"gep( score| 18)?|t cell inflamed (gep|score|signature)|tis( score)?",
        r"\bgep\b|"
        r"inflamed gep",
    ),
    "cyt_score": (r"cyt( score)?|cytolytic (score|activity|index)", r"cytolytic (score|activity)"),
    "ifng_score": (r"ifn ?g(amma)? (score|signature|sig)|ifng6", r"ifn ?g(amma)? (score|signature)"),
    "tgfb_score": (r"tgf ?b(eta)? (score|signature)|f tbrs", r"tgf ?b.*(score|signature)"),
    "teff_score": (r"t ?eff(ector)? (score|signature)|teff", r"t ?eff(ector)? (score|signature)"),
    "immune_phenotype": (
        r"immune ?phenotype|tumou?r immune phenotype|phenotype|cd8 phenotype|immune (class|"
        r"infiltration pattern)",
        r"immune ?phenotype",
    ),
    "nlr": (
        r"nlr|neutrophil (to )?lymphocyte ratio|neutrophil lymphocyte ratio",
        r"\bnlr\b|"
        r"neutrophil.*lymphocyte.*ratio",
    ),
    "dnlr": (r"d ?nlr|derived (nlr|neutrophil.*ratio)", r"\bd ?nlr\b|derived n"),
    "plr": (r"plr|platelet (to )?lymphocyte ratio", r"\bplr\b|platelet.*lymphocyte.*ratio"),
    "sii": (r"sii|systemic immune inflammation index", r"\bsii\b|immune inflammation index"),
    "albumin_g_dl": (r"(serum )?albumin|alb", r"\balb(umin)?\b"),
    "ldh_uln": (r"ldh( uln| ratio| x ?uln)?|lactate dehydrogenase", r"\bldh\b|lactate dehydrogenase"),
    "crp_mg_l": (r"crp|c reactive protein|hs ?crp", r"\bcrp\b|c reactive"),
    "hemoglobin_g_dl": (r"hgb|hb|ha?emoglobin", r"\b(hgb|ha?emoglobin)\b"),
    "platelets_10e9_l": (r"platelets?( count)?|plt|thrombocytes", r"\b(platelets?|plt|thrombocytes)\b"),
    "neutrophils_10e9_l": (r"neutrophils?( count)?|anc|neut|abs neut", r"\b(neutrophils?|anc)\b"),
    "lymphocytes_10e9_l": (r"lymphocytes?( count)?|alc|lymph", r"\b(lymphocytes?|alc)\b"),
    "leukocytes_10e9_l": (
        r"leu[ck]ocytes?( count)?|wbc( count)?|"
        r"white (blood )?cells?( count)?",
        r"\b(leu[ck]ocytes?|wbc)\b",
    ),
    "il6_pg_ml": (r"il ?6|interleukin 6", r"\bil ?6\b"),
    "il8_pg_ml": (r"il ?8( cxcl8)?|cxcl8|interleukin 8", r"\bil ?8\b|\bcxcl8\b"),
    "il10_pg_ml": (r"il ?10|interleukin 10", r"\bil ?10\b"),
    "ifng_pg_ml": (r"ifn ?(g|y|gamma)|interferon gamma", r"\bifn (g|y|gamma)\b"),
    "tnf_pg_ml": (r"tnf( a| alpha)?|tnfa", r"\btnf( a| alpha)?\b"),
    "cxcl9_pg_ml": (r"mig( cxcl9)?|cxcl9( mig)?", r"\bcxcl9\b"),
    "cxcl10_pg_ml": (r"ip ?10( cxcl10)?|cxcl10( ip ?10)?", r"\bcxcl10\b|\bip ?10\b"),
    "tumor_type": (
        r"(cancer|tumou?r|disease|primary)( type)?2?( group(ed)?)?|cancer type (grouped|detailed)|"
        r"indication|diagnosis|"
        r"primary tumou?r( type)?|entity|disease type|cancer ?type|tumou?r ?type",
        r"\b(cancer|tumou?r) type\b",
    ),
    "stage": (
        r"(tumou?r |ajcc |disease |tnm )?stage( at .*)?|m ?stage|m|stage group(ing)?|clinical stage|"
        r"metastasis stage",
        r"\bm ?stage\b|\bstage (at|group)|\bajcc\b.*stage",
    ),
    "age_years": (
        r"(b|patient )?age( years?| yrs?| at .*| in years)?|age",
        r"\bage (at|years?|in)\b",
    ),
    "sex": (r"sex|gender|sex at birth|male|female|is male|is female", r"\b(sex|gender)\b"),
    "bmi_kg_m2": (r"bmi|body mass index", r"\bbmi\b|body mass"),
    "ecog": (
        r"ecog( ps| score| performance( status)?|gr)?|performance status( ecog)?|(ecog )?ps|who ps|ecogps",
        r"\becog\b|performance status",
    ),
    "prior_systemic_therapy": (
        r"(systemic )?therapy history|prior (systemic )?(therap(y|ies)|treatments?|chemo(therapy)?|tx)|"
        r"systemic therapy history|"
        r"(chemo(therapy)?|therapy) before (io|ici)|pre ?treated|prior lines( of therapy)?|priortxc?|"
        r"pre therapies|"
        r"received platinum|prior platinum|previous (systemic )?(therapy|treatment)",
        r"prior (systemic|chemo)|chemo before|previous (systemic )?(therapy|treatment)|prior therap",
    ),
    "line_of_therapy": (
        r"line( of (therapy|treatment|immunotherapy|io))?( \d)?|lot|treatment line|therapy line|"
        r"lines of treatment",
        r"\bline of (therapy|treatment|immunotherapy)\b",
    ),
    "drug_class": (
        r"drug ?(class|type|name)?|(ici|io) ?(drug|agent|therapy|treatment|class|type)( name)?|"
        r"immunotherapy( class| drug| agent)?|"
        r"treatment( type)?|tx|io drug name|therapy|agent|immunotherapy 1 drug ?name|checkpoint inhibitor|"
        r"antibody|trt01p|arm",
        r"\b(drug|immunotherapy|checkpoint)\b.*\b(class|name|type|drug)\b|\bdrug ?name\b|mono(therapy)? (vs|"
        r"or) combination",
    ),
    "smoker": (
        r"smok(er|ing)( status| history| hx)?|tobacco( use)?( history)?|tobhx|ever smoked|smoking history",
        r"\bsmoking\b|\bsmoker\b|tobacco",
    ),
    "pack_years": (r"pack ?years?( history)?|smoking pack years", r"\bpack ?years?\b"),
    "antibiotics_60d": (r"antibiotics?( 60 ?d(ays)?| within 60 days)|abx( 60 ?d)", r"antibiotic.*60"),
    "metastatic_sites": (
        r"met(astatic)? ?sites|n(umber of)? met(astatic)? sites|no of metastatic sites|metsites|"
        r"organs? involved",
        r"number of (met|metastatic)|metastatic sites (n|number|count)",
    ),
    "liver_metastasis": (
        r"liver (mets?|metastas[ie]s|visc met)|hepatic metastas[ie]s|met disease status",
        r"liver.*\bmet(s|astas[ie]s)?\b",
    ),
    "tumor_burden_mm": (
        r"(bl )?sld|sum of (longest )?diameters|tumou?r (burden|size)( mm| sld)?|target lesion sum|blsld",
        r"\bsld\b|sum of.*diameters",
    ),
    "bor": (
        r"i?bor|bcor|best (confirmed )?(overall )?(response|bor)( recist.*)?|recist|br|best recist|"
        r"overall response|"
        r"(treatment |clinical |tumou?r )?(best )?response( recist.*)?|best objective response|"
        r"objective response|confirmed bor",
        r"\bbor\b|best.*response|\brecist\b",
    ),
    "responder": (
        r"(binary )?(respon(se|der))( status)?|orr|objective response|responder non ?responder|"
        r"response binary|r nr",
        r"\bresponder\b|objective response",
    ),
    "dcb": (
        r"dcb|durable clinical (benefit|response)|clinical benefit|durable benefit|benefit",
        r"durable clinical|\bdcb\b|clinical benefit",
    ),
    "depth_pct": (
        r"(best )?(percent )?change( percent| from baseline| in (sld|tumou?r size))+|depth of response|"
        r"best change|"
        r"tumou?r shrinkage( percent)?|max(imum)? (tumou?r )?(change|shrinkage)|best percent(age)? change.*",
        r"best.*change|depth of response|shrinkage",
    ),
    "pfs_months": (
        r"pfs( time| duration| update)?|progression free survival( time)?|time to progression|"
        r"survival time pfs|ttp",
        r"\bpfs\b|progression free survival",
    ),
    "pfs_event": (
        r"pfs (event|status|flag|censor(ed|ing)?|cens|cnsr|sor|ind(icator)?|e)|progressed|"
        r"progression( event| status)?|"
        r"event (occurred )?pfs|cens(or)? ?pfs|progression free (survival )?(status|event)|disease progression",
        r"\bpfs (event|status|flag|cens\w*|cnsr)\b",
    ),
    "os_months": (
        r"os( time| duration| update)?|overall survival( time)?|survival( time)?( os)?|time to death|"
        r"survival time os",
        r"\bos (days|months|weeks|years|time)\b|\bos\b|overall survival",
    ),
    "os_event": (
        r"os (event|status|flag|censor(ed|ing)?|cens|cnsr|sor|ind(icator)?|e)|dead|deceased|death( event|"
        r" status)?|died|"
        r"vital ?status|survival (flag|status|event)|event (occurred )?os|cens(or)? ?os|"
        r"is the patient deceased|"
        r"overall survival (status|event)|dead alive( dead true)?|alive|is deceased|patient deceased|"
        r"is the deceased",
        r"\bos (event|status|flag|cens\w*|cnsr)\b|vital status|dead alive|deceased",
    ),
    "exposure_weeks": (
        r"(time on|duration of) (treatment|therapy|tx|drug)|exposure( time| duration)?|treatment duration",
        r"time on (treatment|therapy)|treatment duration|duration of (treatment|therapy)",
    ),
    "irae": (
        r"irae( 1)?( any( grade)?| occurrence| yn| pos neg| status| event)?|immune related adverse events?|"
        r"any irae",
        r"irae.*(pos neg|any|occur)",
    ),
    "irae_grade": (
        r"(highest |worst |max(imum)? )?(grade( of)? irae( \d)?|irae grade( \d)?)",
        r"grade.*irae|irae.*grade",
    ),
    "irae_organ": (
        r"irae (organ|organ affected|site|type|category|1 category)|organ.*irae",
        r"irae.*(organ|category|type)",
    ),
    "irae_onset_days": (r"irae onset( time)?|(time|days) to irae( onset)?", r"irae.*onset|to irae"),
}

_PATTERNS = {name: (re.compile(whole), re.compile(part)) for name, (whole, part) in _SAY.items()}

_UNIT_WORDS = {
    "days": r"\bdays?\b|(?<=pfs )d$|(?<=os )d$",
    "weeks": r"\b(weeks?|wks?)\b|(?<=pfs)wk\b|(?<=os)wk\b",
    "months": r"\b(months?|mos?|mths?|mon)\b",
    "years": r"\b(years?|yrs?)\b",
    "percent": r"\bpercent(age)?\b|\bpct\b",
    "fraction": r"\b(fraction|prop(ortion)?)\b(?! score)",
}

#: Units with signs in them, looked for in the raw header.
_UNIT_SIGNS = (
    ("/uL", r"/\s*[uµμ]l\b|/\s*mm\^?3|cells\s*/"),
    ("10^9/L", r"10\s*[\^e*]{0,2}\s*9\s*/?\s*l\b|\bg/l\b(?=.*(plat|neut|lymph|leu))|\bk/[uµ]l|10\^?3/[uµ]l"),
    ("g/dL", r"\bg\s*[/_.]?\s*dl\b"),
    ("mg/dL", r"\bmg\s*[/_.]?\s*dl\b"),
    ("mg/L", r"\bmg\s*[/_.]?\s*l\b"),
    ("g/L", r"\bg\s*[/_.]\s*l\b|(?<=_)gl\b"),
    ("mmol/L", r"\bmmol\s*[/_.]?\s*l\b"),
    ("umol/L", r"\b[uµ]mol\s*[/_.]?\s*l\b"),
    ("U/L", r"\b(i?u)\s*/\s*l\b"),
    ("ng/mL", r"\bng\s*[/_.]?\s*ml\b"),
    ("pg/mL", r"\bpg\s*[/_.]?\s*ml\b"),
    ("cm", r"\bcm\b"),
    ("mm", r"\bmm\b"),
)


#: Words that make something else of a column that is named beside them.
_OTHER = re.compile(
    r"\b(percentile|quantile|rank|z ?score|zscore|sd units?|indel|tki|qc|date|comment|notes?|unit|cut ?off|"
    r"slide|site of|"
    r"log|log2|log10|ln|normali[sz]ed|scaled|std|change)\b"
)
#: ... but not of these.
_OTHER_IS_FINE = {"depth_pct"}


@functools.lru_cache(maxsize=4096)
def match_header(header: str) -> tuple[Match, ...]:
    """Columns of the vocabulary that a header may mean, best first.

    >>> match_header("OS (days)")[0]
    Match(name='os_months', score=0.9)
    """
    plain = plain_header(re.sub(r"\(.*?[=:].*?\)", " ", header))  # without a legend
    bare = plain
    for pattern in _UNIT_WORDS.values():
        bare = re.sub(pattern, " ", bare)
    bare = re.sub(
        r"\b(g|mg|ng|pg|u|iu|i|mmol|umol|k|cells|10 9|10 3|mut) (dl|l|ul|ml|mb)\b|\b(ul|mm3|g l)\b", " ", bare
    )
    forms = {" ".join(f.split()) for f in (plain, bare, _QUALIFIERS.sub(" ", bare), _QUALIFIERS.sub(" ", plain))}
    found = []
    other = _OTHER.search(plain) is not None
    for name, (whole, part) in _PATTERNS.items():
        if other and name not in _OTHER_IS_FINE:
            continue
        if any(f and whole.fullmatch(f) for f in forms):
            found.append(Match(name, 0.9))
        elif part.pattern != "^$" and part.search(plain):
            found.append(Match(name, 0.6 if len(plain.split()) <= 5 else 0.5))
    return tuple(sorted(found, key=lambda m: -m.score))


def unit_in(header: str) -> str | None:
    """The unit that a header names, None where it names none.

    >>> [unit_in(h) for h in ("OS (days)", "ALB g/L", "PDL1_TPS(%)", "PFS_Months", "NLR")]
    ['days', 'g/L', 'percent', 'months', None]
    """
    for unit, pattern in _UNIT_SIGNS:
        if re.search(pattern, header.casefold()):
            return unit
    plain = plain_header(header)
    return next((unit for unit, pattern in _UNIT_WORDS.items() if re.search(pattern, plain)), None)


#: What is known only after treatment has begun, or is the answer itself under another name: header -> why.
_LATE = (
    (
        r"\bcycles?\b|num(ber of)? doses|doses (given|"
        r"received)",
        "how long treatment went on is known only afterwards",
    ),
    (
        r"\b(post|after)\b.*(ctla4|mapk|tx|treatment|therapy|braf|ici|io)?|"
        r"^post",
        "recorded after treatment had begun",
    ),
    (r"\bon ?(treatment|tx|therapy)\b|\b(week|wk|cycle) ?\d+\b|\bc\d+ ?d\d+\b", "measured on treatment"),
    (r"ongoing|discontinu|reason for (stop|end)", "how treatment ended is known only afterwards"),
    (r"time to (br|response|best response)|duration of response|\bdor\b|\bttr\b", "part of the outcome"),
    (
        r"clearance|\bdelta\b|change from baseline|\bearly\b.*(decrease|increase|"
        r"change)",
        "a change under treatment",
    ),
    (
        r"predict(ed|ion)?\b|\bloris\b|\brisk (score|group)|model (score|output)|"
        r"\bprob(ability)?\b",
        "a model's earlier output",
    ),
    (r"subsequent|next line|salvage|hyper ?progress", "recorded after treatment had begun"),
    (
        r"(survival|response|os|pfs|alive|dead) ?(at )?\d+ ?(yr|year|mo|month|m|y)s?\b|\b\d+ ?(yr|year|mo|"
        r"month)s?\b.*(flag|surv)",
        "the outcome, cut at a time",
    ),
    (r"long survival|long term surv|non ?response|\bgroup\b", "the outcome in other words"),
    (
        r"(last|final) (contact|visit|follow ?up|drug)|follow ?up|end date|therapy end|date of death|date death|"
        r"date (of )?progress|progression date|pfs date|\bpd date\b|death date",
        "a date after baseline",
    ),
)
_LATE_PATTERNS = tuple((re.compile(p), why) for p, why in _LATE)


def too_late(header: str) -> str | None:
    """Why a column was recorded after baseline, by its name; None where nothing says so.

    >>> too_late("cyclesOnTherapy")
    'how long treatment went on is known only afterwards'
    """
    plain = plain_header(header)
    return next((why for pattern, why in _LATE_PATTERNS if pattern.search(plain)), None)


def legend_in(header: str) -> dict[str, str]:
    """Codes that a header explains, code -> words.

    >>> legend_in("gender (Male=1, Female=0)")
    {'1': 'male', '0': 'female'}
    >>> legend_in("Response (1:Responder; 0:Non-responder)")
    {'1': 'responder', '0': 'non-responder'}
    """
    found: dict[str, str] = {}
    for item in re.split(r"[,;(){}\[\]]", header):
        match = re.fullmatch(r"\s*(.*?)\s*[=:]\s*(.*?)\s*", item)
        if match:
            left, right = match[1].casefold(), match[2].casefold()
            code, words = (left, right) if re.fullmatch(r"\d+", left) else (right, left)
            if re.fullmatch(r"\d+|true|false|y|n|yes|no", code) and words and not re.fullmatch(r"\d+", words):
                found[code] = words
    return found if len(found) > 1 else {k: v for k, v in found.items() if k in ("true", "1", "yes", "y")}
