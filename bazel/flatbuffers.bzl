"""flatc --cpp as a genrule."""

def flatbuffer_cc_library(name, schema, **kwargs):
    """Makes SCHEMA_generated.h from SCHEMA.fbs and a library NAME that holds it."""
    out = schema[:-len(".fbs")] + "_generated.h"
    native.genrule(
        name = name + "_gen",
        srcs = [schema],
        outs = [out],
        tools = ["@flatbuffers//:flatc"],
        cmd = "$(location @flatbuffers//:flatc) --cpp --scoped-enums --gen-mutable --gen-object-api -o $(@D) $(SRCS)",
        message = "flatc",
    )
    native.cc_library(
        name = name,
        hdrs = [out],
        deps = ["@flatbuffers"],
        **kwargs
    )
