// A library of which there are two builds, told apart by BUILD.
int build_of_library(int task) { return 1000 * BUILD + task; }
