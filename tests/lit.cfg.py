"""lit's configuration for every .mlir and .test file below tests/; bazel/run_lit.sh sets the environment."""
import os

import lit.formats

config.name = "flashcp"
config.test_format = lit.formats.ShTest(execute_external=True)
config.suffixes = [".mlir", ".test"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.environ["LIT_OUT"]
config.environment["PATH"] = os.environ["PATH"]
config.environment["FILECHECK_OPTS"] = "--dump-input=fail --color=false"
