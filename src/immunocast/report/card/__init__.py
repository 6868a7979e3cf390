"""The model card of a learned model: what is known of it from its run, with the files that each statement rests on.

    <run>/cards/<model>/model_card.html, model_card.md   the card, for people
                        tripod_ai.csv, probast_ai.csv    the two checklists, a row an item
                        card.json                        verdict, digests of the evidence and of the bundle
                        evidence/                        what the card's statements rest on, of this model alone

`publish` puts the folder as it is beside the model's version. No file of it has a row a patient.
"""

from immunocast.report.card.checklist import Status, checklist, read_index
from immunocast.report.card.statements import Statements, read_statements
from immunocast.report.card.write import write_card, write_cards

__all__ = ["Statements", "Status", "checklist", "read_index", "read_statements", "write_card", "write_cards"]
