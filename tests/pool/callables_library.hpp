/// @file
/// A library whose functions run in tasks.
#pragma once

[[gnu::visibility("default")]] int add_one(int x);

[[gnu::visibility("default")]] int twice_in_library(int x);

/// @returns a function that the library keeps to itself.
[[gnu::visibility("default")]] int (*hidden_function())(int);

/// For a program that loads the library while it runs.
extern "C" [[gnu::visibility("default")]] int add_two(int x);
