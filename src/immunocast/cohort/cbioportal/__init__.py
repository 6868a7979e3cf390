"""Studies in cBioPortal's native folder layout, read as cohorts."""

from immunocast.cohort.cbioportal.reader import StudyFolder

__all__ = ["StudyFolder"]
