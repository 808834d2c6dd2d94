"""Manifests: every kind of file, the options, and everything that can be wrong."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.errors import InvalidManifest
from jobs.guard import Guard
from jobs.inputs import Policy
from jobs.manifest import Expansion, JobRow, RowFault, check, fingerprint, rows

Write = Callable[[str, str | bytes], Path]

CORE = Expansion(operation="generate/core")
#: What every request needs.
REQUESTS = {"path": "/v2beta/next", "credits": "2"}
EXAMPLE = Path(__file__).parents[3] / "examples" / "prompts.csv"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def write_parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(dict(columns)), path)
    return path


def jobs_of(path: Path, expansion: Expansion = CORE) -> list[JobRow]:
    found = list(rows(path, expansion))
    assert all(isinstance(row, JobRow) for row in found), [str(row) for row in found]
    return [row for row in found if isinstance(row, JobRow)]


def faults_of(path: Path, expansion: Expansion = CORE) -> list[str]:
    return [
        line for row in rows(path, expansion) if isinstance(row, RowFault) for line in row.lines()
    ]


def is_read_or_refused(path: Path) -> bool:
    try:
        review = check(path, CORE)
    except InvalidManifest as refused:
        return len(refused.lines) > 0
    return review.count + review.faulty > 0


def refusal_of(path: Path, expansion: Expansion = CORE) -> str:
    with pytest.raises(InvalidManifest) as caught:
        list(rows(path, expansion))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("m.csv", "prompt,seed\na fox,7\n", id="csv"),
        pytest.param("m.CSV", "\ufeffprompt, seed\r\na fox, 7\r\n", id="csv from a spreadsheet"),
        pytest.param("m.csv", "prompt,seed\ra fox,7\r", id="csv of an old Macintosh"),
        pytest.param("m.tsv", "prompt\tseed\na fox\t7\n", id="tsv"),
        pytest.param("m.jsonl", '{"prompt": "a fox", "seed": 7}\n', id="flat jsonl"),
        pytest.param("m.ndjson", '\n{"params": {"prompt": "a fox", "seed": 7}}', id="nested jsonl"),
    ],
)
def test_a_row_reads_the_same_from_every_kind_of_text(
    write: Write, name: str, content: str
) -> None:
    [job] = jobs_of(write(name, content))

    assert job.operation == "generate/core"
    assert job.params == {"prompt": "a fox", "seed": 7}
    assert (job.row, job.source_row) == (0, 1)


def test_a_row_reads_the_same_from_parquet(tmp_path: Path) -> None:
    columns = {"prompt": ["a fox", "a hen"], "seed": [7, None], "__index_level_0__": [0, 1]}
    path = write_parquet(tmp_path / "m.parquet", columns)

    first, second = jobs_of(path)

    assert first.params == {"prompt": "a fox", "seed": 7}
    assert second.params == {"prompt": "a hen"}


def test_reserved_columns_are_about_the_job(write: Write) -> None:
    path = write(
        "m.csv",
        "operation,name,priority,metadata.set,prompt\ngenerate/ultra,fox,-3,train,a fox\n",
    )

    [job] = jobs_of(path, Expansion(operation="generate/core"))

    assert (job.operation, job.name, job.priority) == ("generate/ultra", "fox", -3)
    assert job.metadata == {"set": "train"}
    assert job.params == {"prompt": "a fox"}


def test_commas_quotes_and_newlines_survive_in_quoted_cells(write: Write) -> None:
    path = write("m.csv", 'prompt,seed\n"a ""fox"",\nin snow",1\na hen,x\n')

    found = list(rows(path, CORE))

    assert isinstance(found[0], JobRow)
    assert found[0].params["prompt"] == 'a "fox",\nin snow'
    # The second row begins on the fourth line, since the first one covers two.
    assert str(found[1]).startswith("row 2 (line 4): seed: ")


def test_in_a_mixed_csv_only_a_filled_cell_can_be_wrong(write: Write) -> None:
    path = write(
        "m.csv",
        "operation,prompt,style_preset,model\n"
        "generate/core,a fox,anime,\n"
        "generate/sd3,a fox,,sd3.5-medium\n"
        ",,,\n"
        "generate/sd3,a fox,anime,\n",
    )

    [fault] = faults_of(path, Expansion())

    assert fault.startswith("row 3 (line 5): style_preset: ")


def test_inputs_are_found_beside_the_manifest_and_references_left_alone(
    write: Write, tmp_path: Path
) -> None:
    Image.new("RGB", (128, 128)).save(tmp_path / "fox.png")
    text = base64.b64encode((tmp_path / "fox.png").read_bytes()).decode()
    references = [
        "asset:" + 26 * "a",
        "https://x.test/a.png",
        f"data:image/png;base64,{text}",
        f"job:{26 * 'b'}#1",
    ]
    path = write("m.csv", "image\n" + "\n".join(f'"{cell}"' for cell in ["fox.png", *references]))

    jobs = jobs_of(path, Expansion(operation="upscale/fast"))

    assert [job.inputs["image"] for job in jobs] == [str(tmp_path / "fox.png"), *references]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "prompt\na quiet lake\n", "'a quiet lake' cannot be read"),
        ("m.jsonl", '{"prompt": ["a", "b"]}\n', "must be the path of a file"),
    ],
)
def test_what_looks_like_a_file_of_a_request_may_be_a_field_of_its(
    write: Write, name: str, content: str, said: str
) -> None:
    [line] = faults_of(write(name, content), Expansion(operation="request", set=REQUESTS))

    assert said in line
    assert line.endswith("; a field of the API's own is given as fields.prompt")


def test_a_file_of_any_name_is_set_for_requests(write: Write, tmp_path: Path) -> None:
    Image.new("RGB", (128, 128)).save(tmp_path / "style.png")
    path = write("m.csv", "fields.prompt\nfox\n")
    style = {"style_reference": "style.png"}

    [job] = jobs_of(path, Expansion(operation="request", set={**REQUESTS, **style}))

    assert job.inputs == {"style_reference": str(tmp_path / "style.png")}


def test_an_input_that_would_not_be_fetched_is_a_fault_of_its_row(write: Write) -> None:
    path = write(
        "m.csv",
        "image\nhttps://x.test/a.png\nhttps://127.0.0.1/a\nhttp://x.test/a.png\n"
        "s3://ours/k\ns3://theirs/k\n",
    )
    policy = Policy(Guard(), frozenset({"ours"}))

    review = check(path, Expansion(operation="upscale/fast"), policy)

    assert review.count == 2
    assert review.lines() == [
        "row 2 (line 3): image: 127.0.0.1 is not a public host",
        "row 3 (line 4): image: the address must begin with https://",
        "row 5 (line 6): image: the bucket theirs is not one of DARKROOM_INPUT_BUCKETS",
    ]


def test_a_missing_a_broken_and_a_changed_image_are_each_noticed(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    path = write("m.csv", "image\nnone.png\nbroken.png\nfolder.png\nfox.png\n")
    Image.new("RGB", (128, 128)).save(tmp_path / "fox.png")
    write("broken.png", b"\x89PNG\r\n\x1a\nnothing")
    expansion = Expansion(operation="upscale/fast")

    before = faults_of(path, expansion)
    write("fox.png", b"no image any more")
    after = faults_of(path, expansion)

    assert [line.split(": ")[:2] for line in before] == [
        ["row 1 (line 2)", "image"],
        ["row 2 (line 3)", "image"],
        ["row 3 (line 4)", "image"],
    ]
    assert after[:3] == before
    assert after[3].startswith("row 4 (line 5): image: ")


def test_options_override_expand_and_number_rows_in_a_stable_order(write: Write) -> None:
    path = write("m.csv", "prompt,seed,name\nfox,1,f\nhen,2,h\n")
    expansion = Expansion(
        operation="generate/core",
        set={"seed": "9", "name": ""},
        matrix={"style_preset": ("anime", "origami"), "output_format": ("png", "webp")},
        repeat=2,
    )

    jobs = jobs_of(path, expansion)

    assert [job.row for job in jobs] == list(range(16))
    assert [job.source_row for job in jobs] == [1] * 8 + [2] * 8
    assert {job.params["seed"] for job in jobs} == {9}
    assert {job.name for job in jobs} == {None}
    chosen = [(j.params["style_preset"], j.params["output_format"]) for j in jobs[:8:2]]
    assert chosen == [("anime", "png"), ("anime", "webp"), ("origami", "png"), ("origami", "webp")]
    assert jobs[0].params == jobs[1].params


def test_a_matrix_over_a_foreign_name_does_not_pay_twice(write: Write) -> None:
    path = write("m.csv", "operation,prompt\ngenerate/core,fox\ngenerate/sd3,fox\n")

    jobs = jobs_of(path, Expansion(matrix={"model": ("sd3.5-large", "sd3.5-medium")}))

    assert [(job.source_row, job.params.get("model")) for job in jobs] == [
        (1, None),
        (2, "sd3.5-large"),
        (2, "sd3.5-medium"),
    ]


def test_a_matrix_over_operations_compares_them(write: Write) -> None:
    path = write("m.jsonl", '{"prompt": "fox"}')

    jobs = jobs_of(path, Expansion(matrix={"operation": ("generate/core", "generate/ultra")}))

    assert [job.operation for job in jobs] == ["generate/core", "generate/ultra"]


def test_values_set_on_the_command_line_are_text_also_over_jsonl(write: Write) -> None:
    path = write("m.jsonl", '{"prompt": "fox", "seed": 3}')

    [job] = jobs_of(path, Expansion(operation="generate/core", set={"seed": "12"}))

    assert job.params == {"prompt": "fox", "seed": 12}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", "fields.prompt,fields.steps\nfox,30\n"),
        ("m.csv", 'fields\n"{""prompt"": ""fox"", ""steps"": 30}"\n'),
        ("m.jsonl", '{"fields": {"prompt": "fox", "steps": 30}}\n'),
        ("m.jsonl", '{"fields": {"prompt": "fox"}, "fields.steps": 30}\n'),
    ],
)
@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({}, {"prompt": "fox", "steps": 30}),
        ({"fields.steps": "20"}, {"prompt": "fox", "steps": 20}),
        ({"fields": '{"steps": 20, "style": "x"}'}, {"prompt": "fox", "steps": 20, "style": "x"}),
        ({"fields.steps": ""}, {"prompt": "fox"}),
        ({"fields": '{"steps": 20}', "fields.steps": "10"}, {"prompt": "fox", "steps": 10}),
    ],
)
def test_options_replace_the_fields_of_a_request_one_by_one(
    write: Write, name: str, content: str, said: dict[str, str], fields: dict[str, Any]
) -> None:
    expansion = Expansion(operation="request", set={**REQUESTS, **said})

    [job] = jobs_of(write(name, content), expansion)

    assert job.params == {"path": "/v2beta/next", "credits": 2, "fields": fields}


def test_an_unknown_option_is_said_once_and_first(write: Write) -> None:
    path = write("m.csv", "prompt\n" + "fox\n" * 150)
    expansion = Expansion(operation="generate/core", set={"promt": "hen"}, matrix={"sed": ("1",)})

    review = check(path, expansion)

    assert [line.split(": ")[0] for line in review.lines()] == ["--set promt", "--matrix sed"]
    assert review.count == 150
    assert not review.is_sound


@pytest.mark.parametrize(
    ("expansion", "said"),
    [
        pytest.param(Expansion(repeat=0), "--repeat: must be 1 or more", id="no repeats"),
        pytest.param(Expansion(matrix={"seed": ()}), "--matrix seed: ", id="an empty axis"),
        pytest.param(Expansion(matrix={"seed": ("1", "1")}), "--matrix seed: ", id="a value twice"),
        pytest.param(
            Expansion(set={"seed": "1"}, matrix={"seed": ("2",)}), "--matrix seed: ", id="both"
        ),
        pytest.param(Expansion(set={"prompt": "\udcff"}), "--set prompt: ", id="not UTF-8"),
    ],
)
def test_options_that_make_no_sense_stop_the_start(
    write: Write, expansion: Expansion, said: str
) -> None:
    assert refusal_of(write("m.csv", "prompt\nfox\n"), expansion).startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("m.csv", "", "is empty", id="empty"),
        pytest.param("m.csv", "prompt,seed\n", "has no rows", id="header only"),
        pytest.param("m.csv", "prompt\n\n  \n", "has no rows", id="blank rows"),
        pytest.param("m.csv", "\n", "the names of the columns", id="no header"),
        pytest.param("m.csv", "prompt,seed,prompt\nfox,1,hen\n", "'prompt'", id="column twice"),
        pytest.param("m.csv", "prompt;seed\nfox;1\n", "semicolons", id="semicolons"),
        pytest.param("m.csv", b"pr\xffmpt\nfox\n", "UTF-8", id="bad header"),
        pytest.param("m.csv", "prompt\nfox\n".encode("utf-16"), "UTF-8", id="utf-16"),
        pytest.param("m.csv", b"prompt\0\nfox\n", "NUL", id="NUL in the header"),
        pytest.param("m.csv", '"prompt\nfox\n', "line 1: unexpected end", id="open quote"),
        pytest.param("m.csv", "prompt\n" + "x" * 2**24, "longer than", id="endless line"),
        pytest.param("m.jsonl", "\n\n", "has no rows", id="blank jsonl"),
        pytest.param("m.parquet", b"PAR1 nothing PAR1", "Parquet", id="no parquet"),
        pytest.param("m.xlsx", "PK", "must end in one of .csv", id="unknown ending"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(
    write: Write, name: str, content: str | bytes, said: str
) -> None:
    path = write(name, content)

    refusal = refusal_of(path)

    assert refusal.startswith(f"{path}: ")
    assert said in refusal
    assert "\n" not in refusal


def test_a_missing_manifest_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path / "none.csv").endswith("there is no such file")
    assert refusal_of(tmp_path).endswith("is not a file")
    with pytest.raises(InvalidManifest):
        fingerprint(tmp_path / "none.csv", CORE)


def test_a_parquet_file_with_nothing_in_it_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "m.parquet", {"prompt": []})

    assert refusal_of(path).endswith("has no rows")


@pytest.mark.parametrize(
    ("name", "content", "place", "said"),
    [
        pytest.param("m.csv", b"prompt\nfox\nh\xffn\n", "row 2 (line 3): ", "UTF-8", id="bytes"),
        pytest.param("m.csv", b"prompt\nfox\nh\0n\n", "row 2 (line 3): ", "NUL", id="NUL"),
        pytest.param("m.csv", "prompt\nfox\na, b\n", "row 2 (line 3): ", "2 cells", id="ragged"),
        pytest.param("m.csv", "prompt,\nfox,\na,b\n", "row 2 (line 3): ", "a name", id="nameless"),
        pytest.param("m.csv", 'prompt\nfox\n"a"b\n', "row 2 (line 3): ", "not read", id="quotes"),
        pytest.param("m.csv", 'prompt\nfox\n"a\n', "row 2 (line 3): ", "not read", id="open"),
        pytest.param("m.csv", "prompt,seed\nfox,1\nx,y\n", "row 2 (line 3): seed: ", "", id="type"),
        pytest.param(
            "m.csv",
            "prompt,operation\nfox,\nhen,generate/cor\n",
            "row 2 (line 3): operation: ",
            "generate/cor",
            id="unknown operation",
        ),
        pytest.param(
            "m.csv",
            "prompt,priority\nfox,1\nhen,high\n",
            "row 2 (line 3): priority: ",
            "whole number",
            id="priority",
        ),
        *(
            pytest.param("m.jsonl", '{"prompt": "fox"}\n' + line, "row 2 (line 2): ", said, id=name)
            for name, line, said in [
                ("no json", '{"prompt": fox}', "is not JSON"),
                ("no object", "[1]", "object"),
                ("infinity", '{"prompt": "a", "seed": NaN}', "NaN"),
                ("too large", '{"prompt": "a", "seed": 1e999}', "finite"),
                ("too long", '{"prompt": "a", "seed": ' + "9" * 5000 + "}", "is not JSON"),
                ("too deep", '{"prompt": "a", "extras": ' + "[" * 9000, "nested"),
                ("deep", '{"prompt": "a", "extras": ' + "[" * 50 + "]" * 50 + "}", "nested"),
                ("half a pair", '{"prompt": "\\ud800"}', "Unicode"),
                ("escaped NUL", '{"prompt": "\\u0000"}', "NUL"),
                ("bad group", '{"params": [], "inputs": {}}', "params: must be an object"),
                ("mixed forms", '{"params": {"prompt": "a"}, "seed": 1}', "seed: "),
                ("operation", '{"prompt": "a", "operation": ["x"]}', "operation: must be text"),
                ("name", '{"prompt": "a", "name": 5}', "name: must be text"),
                ("input", '{"operation": "upscale/fast", "image": 5}', "image: must be"),
            ]
        ),
    ],
)
def test_a_broken_row_is_told_and_the_others_are_read(
    write: Write, name: str, content: str | bytes, place: str, said: str
) -> None:
    first, fault = rows(write(name, content), CORE)

    assert isinstance(first, JobRow)
    assert isinstance(fault, RowFault)
    [line] = fault.lines()
    assert line.startswith(place)
    assert said in line


def test_a_parquet_value_that_no_job_can_hold_is_told(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "m.parquet", {"prompt": ["fox", "hen"], "seed": [None, b"7"]})

    [line] = faults_of(path)

    assert line == "row 2: seed: must not hold a bytes"


def test_a_row_without_an_operation_is_told(write: Write) -> None:
    [line] = faults_of(write("m.csv", "prompt\nfox\n"), Expansion())

    assert line.startswith("row 1 (line 2): operation: is missing")


def test_a_fault_shared_by_all_combinations_is_said_once(write: Write) -> None:
    path = write("m.csv", "prompt,seed\nfox,x\n")
    expansion = Expansion(operation="generate/core", matrix={"output_format": ("png", "webp")})

    [line] = faults_of(path, expansion)

    assert line.startswith("row 1 (line 2): seed: ")


def test_a_line_about_a_fault_is_one_line(write: Write) -> None:
    path = write("m.csv", 'prompt,operation\nfox,"gen\n\x1b[31m"\n')

    [line] = faults_of(path)

    assert line.isprintable()


def test_a_review_counts_prices_and_keeps_the_first_hundred_faults(write: Write) -> None:
    path = write("m.csv", "prompt,seed\n" + "fox,1\n" * 30 + "hen,x\n" * 120)

    review = check(path, CORE)

    assert review.count == 30
    assert review.by_operation == {"generate/core": 30}
    assert review.credits_milli == 30 * 3000
    assert review.faulty == 120
    assert len(review.faults_by_row) == 100
    assert review.lines()[-1] == "and 20 more rows with faults"


def test_rows_are_read_as_they_are_wanted(write: Write) -> None:
    path = write("m.csv", "prompt\n" + "fox\n" * 1000 + '"never closed')

    stream = rows(path, CORE)

    # The broken end is not reached, so nothing has read ahead to it.
    assert all(isinstance(next(stream), JobRow) for _ in range(1000))
    assert isinstance(next(stream), RowFault)


def test_the_fingerprint_tells_other_work_from_the_same(write: Write) -> None:
    path = write("m.csv", "prompt\nfox\n")
    same = Expansion(operation="generate/core", matrix={"seed": ("1", "2"), "style_preset": ("a",)})
    turned = Expansion(
        operation="generate/core", matrix={"style_preset": ("a",), "seed": ("1", "2")}
    )
    others = [CORE, turned, Expansion(operation="generate/core", set={"seed": "1"})]

    before = fingerprint(path, same)

    assert fingerprint(path, same) == before
    assert before not in {fingerprint(path, other) for other in others}
    assert before != fingerprint(write("m.csv", "prompt\nhen\n"), same)


def test_the_example_is_sound() -> None:
    review = check(EXAMPLE, Expansion())

    assert review.lines() == []
    assert review.count >= 24
    assert len(review.by_operation) >= 12


HEADERS = st.sampled_from([b"", b"prompt,seed,operation,image\n", b"PAR1", b'{"prompt":'])


@settings(max_examples=300)
@given(
    ending=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    content=st.builds(bytes.__add__, HEADERS, st.binary(max_size=300)),
)
def test_no_bytes_at_all_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, ending: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"random.{ending}"
    path.write_bytes(content)

    assert is_read_or_refused(path)


@settings(max_examples=100)
@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_no_spoiled_byte_of_a_parquet_file_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, at: float, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoiled.parquet"
    write_parquet(path, {"prompt": ["fox", "hen"], "seed": [1, 2]})
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] = value
    path.write_bytes(content)

    assert is_read_or_refused(path)


@settings(max_examples=50)
@given(
    row=st.dictionaries(
        st.sampled_from(["prompt", "operation", "name", "priority", "metadata", "params", "image"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.text(max_size=3), inner, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_no_json_object_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "random-object.jsonl"
    path.write_text(json.dumps(row) + "\n")

    review = check(path, CORE)

    assert review.count + review.faulty == 1
