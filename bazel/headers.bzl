"""The headers behind targets, as files."""

def _own_headers_impl(ctx):
    headers = depset(transitive = [
        target[CcInfo].compilation_context.headers
        for target in ctx.attr.targets
    ])
    own = [header for header in headers.to_list() if not header.short_path.startswith("../")]
    return [DefaultInfo(files = depset(own), runfiles = ctx.runfiles(files = own))]

own_headers = rule(
    implementation = _own_headers_impl,
    doc = "The headers of this workspace that C++ targets include, directly or not; private ones too.",
    attrs = {"targets": attr.label_list(providers = [CcInfo])},
)
