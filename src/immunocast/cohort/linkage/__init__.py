"""Linkage: the same human being under several ids, by a scored comparison of many fields."""

from immunocast.cohort.linkage.fields import FIELDS, Field, choose_fields
from immunocast.cohort.linkage.matching import Linkage, find_links, link_persons, near_duplicates
from immunocast.cohort.linkage.settings import LinkageSettings, linkage_settings

__all__ = [
    "FIELDS",
    "Field",
    "Linkage",
    "LinkageSettings",
    "choose_fields",
    "find_links",
    "link_persons",
    "linkage_settings",
    "near_duplicates",
]
