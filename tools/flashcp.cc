// The flashcp program: everything is in tools/cli.

#include "tools/cli/main.h"

int main(int argc, char** argv) { return flashcp::cli::Main(argc, argv); }
