#pragma once

namespace sluice::app {

// The command line: parses it, runs the mode or sub-command that it asks for, and returns the exit
// code. Errors are one readable line on stderr; 1: the configuration, 2: the command line.
//
//   sluice -c FILE [flags]        serve
//   sluice -c FILE --mode validate
//   sluice chains [-c FILE]       filters, compiled-in chains, and which one each listener runs
int run_command(int argc, const char* const* argv);

}  // namespace sluice::app
