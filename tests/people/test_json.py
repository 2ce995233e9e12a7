"""--format json against the schemas of docs/schemas."""

import json
import re

import jsonschema
import pytest
from conftest import ROOT

SCHEMAS = ROOT / "docs/schemas"
# How a command with --format is asked, where its NAME alone is not enough.
QUESTIONS = {"forward": ["list", "running"]}


def strict(schema):
    """The same, with nothing beside what it names: what is printed is documented."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part) for key, part in schema.items()}
    if "properties" in schema:
        closed["additionalProperties"] = False
    return closed


def load(name):
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def validator(command):
    store = {f"file:///{path.name}": strict(load(path.stem)) for path in SCHEMAS.glob("*.json")}
    schema = store[f"file:///{command}.json"]
    jsonschema.Draft202012Validator.check_schema(schema)
    resolver = jsonschema.RefResolver(f"file:///{command}.json", schema, store)
    return jsonschema.Draft202012Validator(schema, resolver=resolver)


@pytest.fixture(scope="module")
def filled(program):
    """VMs of each kind; `running` runs, with a stand-in for QEMU."""
    program.create("stopped")
    program.create("running")
    program.output("create", "empty", "--linux", "--disk-size", "1")
    program.start("running", "--net-vmnet-expose", "127.0.0.1:0:22,127.0.0.1:0:53/udp")
    return program


def with_format(program):
    return [command for command in program.commands() if "[--format=" in program.output(command, "--usage")]


def test_each_command_with_format_has_its_schema(program):
    assert set(with_format(program)) == {path.stem for path in SCHEMAS.glob("*.json")}


def test_each_command_prints_what_its_schema_says(filled):
    for command in with_format(filled):
        usage = filled.output(command, "--help").splitlines()[0]
        argv = QUESTIONS.get(command, ["running"] if re.search(r"\bNAME\b", usage) else [])
        found = filled.json(command, *argv, "--format", "json")
        validator(command).validate(found)
        assert found, "a test of nothing"


def test_every_kind_of_vm(filled):
    listed = filled.json("list", "--format", "json")
    assert {vm["Name"]: vm["State"] for vm in listed} == \
           {"empty": "stopped", "running": "running", "stopped": "stopped"}
    for vm in listed:
        found = filled.json("get", vm["Name"], "--format", "json")
        validator("get").validate(found)
        assert len(found["Forwards"]) == (2 if vm["Running"] else 0)
        assert found["State"] == vm["State"] and found["Disk"] == vm["Disk"]


def test_forwards_that_were_added(filled):
    added = filled.json("forward", "add", "running", "127.0.0.1:0:80", "--format", "json")
    validator("forward").validate(added)
    assert [forward["internalPort"] for forward in added] == [80]
    listed = filled.json("forward", "list", "running", "--format", "json")
    validator("forward").validate(listed)
    assert len(listed) == 3


def test_the_schemas_would_find_what_is_wrong():
    good = {"protocol": "tcp", "externalAddress": "::", "externalPort": 1, "internalAddress": "10.0.0.2",
            "internalPort": 2}
    validator("forward").validate([good])
    for bad in ({"protocol": "sctp"}, {"externalPort": 0}, {"internalPort": "2"}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validator("forward").validate([good | bad])
    with pytest.raises(jsonschema.ValidationError):
        validator("list").validate([{"Name": "x"}])
