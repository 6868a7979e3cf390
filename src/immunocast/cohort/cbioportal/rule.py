"""The rule by which a MAF becomes TMB, as the `mutations:` block of a study's configuration gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from immunocast.cohort.cbioportal.maf import CountingRule, GeneFlag
from immunocast.cohort.hints import did_you_mean
from immunocast.errors import ConfigError

#: Consequence classes that cBioPortal counts as non-synonymous.
COUNTED_CLASSES = (
    "Frame_Shift_Del",
    "Frame_Shift_Ins",
    "In_Frame_Del",
    "In_Frame_Ins",
    "Missense_Mutation",
    "Nonsense_Mutation",
    "Splice_Site",
    "Nonstop_Mutation",
    "Splice_Region",
)
#: Values of Mutation_Status that are no somatic mutation (the portal itself does not load the last three).
NOT_SOMATIC = ("Germline", "None", "LOH", "Wildtype")
#: Classes that end or destroy a protein: an antigen-presentation gene with one of them does not work.
TRUNCATING = ("Frame_Shift_Del", "Frame_Shift_Ins", "Nonsense_Mutation", "Splice_Site", "Translation_Start_Site")
PREFERENCES = ("clinical", "maf")


@dataclass(frozen=True)
class TmbRule:
    """How mutations become TMB.

    Attributes
    ----------
    read : read the MAF at all.
    counted_classes : values of Variant_Classification that count; case is ignored.
    status_left_out : values of Mutation_Status whose rows are left out.
    panel_sizes_mb : panel -> coding size in Mb, for panels that nobody else states, or to overrule.
    min_panel_mb : smaller panels get no TMB.
    default_panel : panel of sequenced samples for which the study names none; null leaves their TMB missing.
    prefer : "clinical" takes tmb_mut_mb, mutation_count and tmb_panel from the clinical files where they have
        them, "maf" from the MAF. A column is never put together from both.
    gene_flags : egfr_mut, kras_mut, stk11_mut, ap_loss from the MAF, where no clinical column gives them.
    """

    read: bool = True
    counted_classes: tuple[str, ...] = COUNTED_CLASSES
    status_left_out: tuple[str, ...] = NOT_SOMATIC
    panel_sizes_mb: Mapping[str, float] = field(default_factory=dict)
    min_panel_mb: float = 0.2
    default_panel: str | None = "WES"
    prefer: str = "clinical"
    gene_flags: bool = True

    def counting(self) -> CountingRule:
        """What is counted in the MAF."""
        flags = {}
        if self.gene_flags:
            counted = frozenset(self.counted_classes)
            flags = {name: GeneFlag(frozenset({gene}), counted) for name, gene in _MUTATED.items()}
            flags["ap_loss"] = GeneFlag(frozenset({"B2M", "JAK1", "JAK2"}), frozenset(TRUNCATING))
        return CountingRule(tuple(self.counted_classes), tuple(self.status_left_out), flags)


_MUTATED = {"egfr_mut": "EGFR", "kras_mut": "KRAS", "stk11_mut": "STK11"}


def parse_rule(content: Mapping[str, Any] | None) -> TmbRule:
    """Check a `mutations:` block.

    Raises
    ------
    ConfigError
        With everything that is wrong.
    """
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise ConfigError(f"cohort.mutations must be a mapping of keys, not {content!r}.")
    known = [f.name for f in fields(TmbRule)]
    problems = [f"unknown key {k!r}. {did_you_mean(str(k), known)}".strip() for k in content if k not in known]
    values = {k: v for k, v in content.items() if k in known}
    for key in ("read", "gene_flags"):
        if not isinstance(values.get(key, True), bool):
            problems.append(f"{key}: must be true or false")
    for key in ("counted_classes", "status_left_out"):
        listed = values.get(key, ())
        if isinstance(listed, (str, Mapping)) or not isinstance(listed, Sequence):
            problems.append(f"{key}: must be a list, not {listed!r}")
        elif key in values:
            values[key] = tuple(str(v) for v in listed)
            if key == "counted_classes" and not listed:
                problems.append("counted_classes: name at least one")
    least = values.get("min_panel_mb", 0.2)
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least < 100:
        problems.append(f"min_panel_mb: must be a number of megabases, not {least!r}")
    sizes = values.get("panel_sizes_mb", {})
    if not isinstance(sizes, Mapping):
        problems.append(f"panel_sizes_mb: must be panel: size, not {sizes!r}")
    else:
        for panel, mb in sizes.items():
            if isinstance(mb, bool) or not isinstance(mb, (int, float)) or not 0 < mb < 4000:
                problems.append(f"panel_sizes_mb.{panel}: must be a number of megabases, not {mb!r}")
    if values.get("prefer", "clinical") not in PREFERENCES:
        problems.append(f"prefer: {values['prefer']!r} is not one of {', '.join(PREFERENCES)}")
    if not isinstance(values.get("default_panel", ""), (str, type(None))):
        problems.append(f"default_panel: must be a panel's name or null, not {values['default_panel']!r}")
    if problems:
        raise ConfigError("cohort.mutations has problems:\n" + "\n".join(f"  - {p}" for p in problems))
    return TmbRule(**values)
