"""The formats of a dataset by their names, as commands and addresses take them."""

from enum import StrEnum


class Form(StrEnum):
    """What a dataset looks like."""

    #: A file for each output, and `metadata.jsonl`.
    FILES = "files"
    #: The same, pictures only, as Hugging Face's loader of that name takes it.
    IMAGEFOLDER = "imagefolder"
    #: Tars of samples: a file, and its columns as JSON.
    WEBDATASET = "webdataset"
    #: Tables that hold the files too.
    PARQUET = "parquet"
