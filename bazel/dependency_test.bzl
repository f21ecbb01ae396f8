"""Layering as tests: a target must not depend on certain packages, directly or not."""

def no_dependency_test(name, targets, forbidden, why):
    """Fails with the offending labels where one of targets depends on one of forbidden.

    forbidden are regular expressions over labels; why is the reason, printed
    with a failure.
    """
    native.genquery(
        name = name + "_query",
        expression = "filter(\"%s\", deps(%s))" % ("|".join(forbidden), " + ".join(targets)),
        scope = targets,
        # Generators of the build are not linked in.
        opts = ["--notool_deps"],
    )
    native.sh_test(
        name = name,
        size = "small",
        srcs = ["//bazel:no_dependency_test.sh"],
        args = ["$(rootpath :%s_query)" % name, "'%s'" % ", ".join(targets), "'%s'" % why],
        data = [":%s_query" % name],
    )
