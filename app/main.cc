#include "app/command.h"

int main(int argc, char** argv) { return sluice::app::run_command(argc, argv); }
