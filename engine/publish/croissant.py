"""croissant.json: the data set as Croissant 1.0 metadata (mlcommons.org/croissant/1.0), JSON-LD
that search engines and loaders read.

It is written as plain JSON: the library that checks it takes seconds to import and generates
nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from engine.publish.portrait import Portrait
from engine.schema import IMAGE_TYPE, LABELS, row_schema
from engine.store.plan import AnyPlan

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
PROJECT = "https://retinaforge.invalid/"
"""A data set on a disk has no address yet, and Croissant asks for one."""
COLUMNS = {
    "id": "hash of plan fingerprint and index",
    "index": "number of the row in the plan",
    "prompt": "the words the model was given",
    "seed": "the noise the image was drawn from",
    "quality_score": "the quality gate's score, 0 to 1",
    "nearest_distance": "distance to the nearest training image",
    "fingerprint": "of the plan",
    "mask_lesion": "every lesion",
    "mask_dark_lesion": "lesions that are darker than the retina around them",
    "mask_bright_lesion": "lesions that are brighter than the retina around them",
    **{label.name: label.meaning for label in LABELS},
}
"""What columns hold in every folder."""


def record_of(
    plan: AnyPlan, described: Portrait, rows: int, finished: float, columns: Collection[str]
) -> dict[str, Any]:
    """The metadata of a data set of `rows` rows, finished at a Unix time.

    `columns` are those that all parts hold; readers give up on a part that lacks a described one.
    """
    day = datetime.fromtimestamp(finished, UTC).date().isoformat()
    words = {**COLUMNS, **described.columns}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **described.record,
        "description": f"{rows:,} {described.record['description']}",
        "license": plan.license,
        "url": f"{PROJECT}{plan.fingerprint}",
        "version": "1.0.0",
        "datePublished": day,
        "creator": {"@type": "sc:Organization", "name": "RetinaForge", "url": PROJECT},
        "isLiveDataset": False,
        "distribution": [_files(columns)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "key": {"@id": "rows/id"},
                "field": [_field(field, words) for field in row_schema() if field.name in columns],
            }
        ],
    }


def _files(columns: Collection[str]) -> dict[str, Any]:
    apart = [name for name in row_schema().names if name not in columns]
    some = f" Some files also hold {', '.join(apart)}." if apart else ""
    return {
        "@type": "cr:FileSet",
        "@id": "parts",
        "description": f"Parquet files, a row an image.{some}",
        "encodingFormat": "application/x-parquet",
        "includes": "parts/*.parquet",
    }


def _field(field: pa.Field, words: dict[str, str]) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "parts"}, "extract": {"column": field.name}}
    if field.type == IMAGE_TYPE:
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"rows/{field.name}",
        "description": words.get(field.name, field.name.replace("_", " ")),
        "dataType": _data_type(field.type),
        "source": source,
    }


def _data_type(kind: pa.DataType) -> str:
    if kind == IMAGE_TYPE:
        return "sc:ImageObject"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
