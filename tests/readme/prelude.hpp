// What the README's snippets without a main() take for granted.
#pragma once

#include <chrono>
#include <cstdio>
#include <iostream>
#include <ranges>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

using namespace std::chrono_literals;

double square(double x);
double simulate(double temperature, int seed);
