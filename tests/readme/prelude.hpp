// What the README's snippets without a main() take for granted.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

using namespace std::chrono_literals;

double square(double x);
double simulate(double temperature, int seed);
