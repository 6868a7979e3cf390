"""Expression matrices to scores: GEP, cytolytic activity, IFN-gamma, TGF-beta, T-effector, exhaustion."""

from immunocast.cohort.expression.join import add_scores, check_forms, forms_of
from immunocast.cohort.expression.score_file import ExpressionScores, score_file, score_matrix
from immunocast.cohort.expression.settings import ExpressionSettings, parse_expression

__all__ = [
    "ExpressionScores",
    "ExpressionSettings",
    "add_scores",
    "check_forms",
    "forms_of",
    "parse_expression",
    "score_file",
    "score_matrix",
]
