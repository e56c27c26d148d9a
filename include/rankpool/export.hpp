/// @file
/// Visibility of the library's symbols: hidden unless marked RANKPOOL_API.
#pragma once

/// Marks what the shared library shows.
#define RANKPOOL_API __attribute__((visibility("default")))
