"""Records: values that print, compare, hash, and go to JSON and back; files can name only classes of the package."""

import json

import pytest

from sparring.errors import FileFormatError
from sparring.games.builders import gan
from sparring.games.losses import ContinuousCodeLoss, NonSaturating
from sparring.games.nodes import Batch, ContinuousCode, Discriminated, Noise, Output
from sparring.games.players import Generator
from sparring.games.recipes import RECIPES
from sparring.nets.dcgan import DCGAN
from sparring.records import RECORDS, as_python, from_json, identity, pretty, record, to_json, walk


def test_a_record_prints_what_differs_from_its_defaults():
    assert repr(Generator(z=32)) == "Generator(z=32)"
    assert repr(Generator()) == "Generator()"
    assert hash(Generator(z=32)) == hash(Generator(z=32)) and Generator(z=32) != Generator()


def test_json_holds_all_fields_so_that_a_changed_default_changes_no_file():
    data = to_json(Generator())
    assert data["z"] == 64 and data["net"]["kind"] == "DCGAN"
    assert from_json(json.loads(json.dumps(data))) == Generator()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"kind": "os.system"}, "unknown record 'os.system'"),
        ({"kind": "Generater"}, "did you mean Generator"),
        ({"kind": "Generator", "zz": 3}, "no field 'zz'"),
        ({"width": 3}, "unknown record .None"),
    ],
)
def test_json_can_name_only_records(data, sentence):
    with pytest.raises(FileFormatError, match=sentence):
        from_json(data)


def test_walk_meets_every_record_once_per_place():
    assert [type(p).__name__ for p in walk(Generator(net=DCGAN()))] == ["Generator", "DCGAN", "NoConstraint"]
    assert {"Adam", "NonSaturating", "Discriminator", "Noise"} <= {type(p).__name__ for p in walk(RECIPES["dcgan"])}


def test_a_class_of_this_package_cannot_be_replaced():
    with pytest.raises(ValueError, match="sparring has a record called Generator"):
        record(type("Generator", (), {"__annotations__": {}, "__module__": "mine"}))
    assert RECORDS["Generator"] is Generator


@pytest.mark.parametrize("name", RECIPES)
def test_pretty_is_the_same_python_on_short_lines(name):
    text = pretty(RECIPES[name], width=60)
    assert eval(text, dict(RECORDS)) == RECIPES[name]
    lines = [line for line in text.splitlines() if "source=" not in line]
    assert all(len(line) <= 60 or line.strip()[0] not in "(" for line in lines) and len(lines) > 5
    assert "\n" not in pretty(RECIPES["dcgan"], width=1000)


@pytest.mark.parametrize("name", RECIPES)
def test_python_of_a_recipe_runs_as_it_is(name):
    namespace: dict = {}
    exec(as_python(RECIPES[name], "mine", width=60), namespace)
    assert namespace["mine"] == RECIPES[name] and namespace["mine"].about == RECIPES[name].about
    imported = {
        line.split(" import ")[0] for line in as_python(RECIPES[name], "mine").splitlines() if " import " in line
    }
    assert all(line.startswith("from sparring.") for line in imported)


def test_files_with_first_names_are_read_and_random_numbers_keep_their_keys():
    """Names of classes and fields as they were at first: in old runs, and in what random numbers are keyed by."""
    old = {
        "kind": "Recipe",
        "source": "ours",
        "players": [
            {"kind": "Player", "name": "D", "nets": [{"kind": "Judge", "name": "D", "memories": []}],
             "terms": [{"kind": "NonSaturating", "real": {"kind": "Judged", "by": "D", "of": {"kind": "Given"}}}]},
            {"kind": "Player", "name": "G", "nets": [{"kind": "Generator", "name": "G", "sliders": 0}],
             "terms": [{"kind": "NonSaturating"}], "gauges": [], "average": 0.999},
        ],
    }  # fmt: skip
    assert from_json(old) == gan("ours", NonSaturating())
    node = Discriminated("D", Output("G", (Noise(8), ContinuousCode(3))), condition=Batch("y"))
    assert identity(node) == "Judged(of=Made(by='G', of=(Noise(dim=8), Sliders(dim=3))), about=Given(field='y'))"
    assert identity(ContinuousCodeLoss(code=ContinuousCode(3))) == "GuessSliders(sliders=Sliders(dim=3))"
