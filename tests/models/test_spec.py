"""ModelSpec goes to JSON and back; what counts as a response model."""

import json

from immunocast.models.loris import LorisRouted
from immunocast.models.spec import ModelSpec, ResponseModel


def test_round_trip_through_json():
    spec = LorisRouted().spec
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_inputs_name_required_first():
    assert ModelSpec(required=("a", "b"), optional=("c",)).inputs == ("a", "b", "c")


def test_a_bare_classifier_is_no_response_model():
    from sklearn.linear_model import LogisticRegression

    assert isinstance(LorisRouted(), ResponseModel)
    assert not isinstance(LogisticRegression(), ResponseModel)
