// Energy of the two-dimensional Ising model against temperature: Metropolis sweeps of an L x L lattice with periodic
// boundaries, J = k = 1, compared with Onsager's exact solution for the infinite lattice (Phys. Rev. 65, 117, 1944).
// The temperatures stay clear of the critical one, 2.269, where L = 64 would be too small and the runs too short.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numbers>
#include <random>
#include <vector>

constexpr int L = 64;
constexpr int warm_up_sweeps = 1'000;
constexpr int sweeps = 10'000;

struct Run {
  double temperature;
  std::uint32_t seed;
};

constexpr std::array<Run, 10> runs = {{{1.6, 101},
                                       {1.7, 102},
                                       {1.8, 103},
                                       {1.9, 104},
                                       {2.0, 105},
                                       {2.6, 106},
                                       {2.8, 107},
                                       {3.0, 108},
                                       {3.2, 109},
                                       {3.4, 110}}};

class Lattice {
 public:
  explicit Lattice(const Run& run) : random_(run.seed) {
    for (int field = -4; field <= 4; ++field) {  // an uphill move, by dE = 2 s field > 0, passes with exp(-dE / T)
      acceptance_[index(field)] = field <= 0 ? 1 : std::exp(-2 * field / run.temperature);
    }
    for (auto& row : spins_) row.fill(1);
  }

  void sweep() {
    for (int i = 0; i < L; ++i) {
      for (int j = 0; j < L; ++j) {
        const int alignment = spin(i, j) * (spin(i - 1, j) + spin(i + 1, j) + spin(i, j - 1) + spin(i, j + 1));
        if (alignment <= 0 || uniform() < acceptance_[index(alignment)]) flip(i, j);
      }
    }
  }

  [[nodiscard]] double energy_per_spin() const {
    int energy = 0;
    for (int i = 0; i < L; ++i) {
      for (int j = 0; j < L; ++j) energy -= spin(i, j) * (spin(i + 1, j) + spin(i, j + 1));
    }
    return static_cast<double>(energy) / (L * L);
  }

 private:
  static std::size_t index(int alignment) { return static_cast<std::size_t>(alignment + 4); }
  static std::size_t wrap(int i) { return static_cast<std::size_t>(i) % L; }  // L is a power of two: -1 wraps too

  [[nodiscard]] int spin(int i, int j) const { return spins_[wrap(i)][wrap(j)]; }
  void flip(int i, int j) { spins_[wrap(i)][wrap(j)] = static_cast<std::int8_t>(-spin(i, j)); }
  double uniform() { return static_cast<double>(random_()) * 0x1p-32; }

  std::array<std::array<std::int8_t, L>, L> spins_{};
  std::array<double, 9> acceptance_{};
  std::mt19937 random_;
};

double mean_energy(const Run& run) {
  Lattice lattice(run);
  for (int i = 0; i < warm_up_sweeps; ++i) lattice.sweep();
  double sum = 0;
  for (int i = 0; i < sweeps; ++i) {
    lattice.sweep();
    sum += lattice.energy_per_spin();
  }
  return sum / sweeps;
}

double onsager(double temperature) {
  const double k = 2 / temperature;
  const double modulus = 2 * std::sinh(k) / (std::cosh(k) * std::cosh(k));
  const double tanh2 = std::tanh(k) * std::tanh(k);
  return -(1 + 2 / std::numbers::pi * (2 * tanh2 - 1) * std::comp_ellint_1(modulus)) / std::tanh(k);
}

int sweep_temperature() {
  std::vector<double> energies;
  for (const Run& run : runs) energies.push_back(mean_energy(run));

  bool agree = true;
  std::printf("   T      energy     Onsager    deviation\n");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const double exact = onsager(runs[i].temperature);
    const double deviation = energies[i] / exact - 1;
    std::printf("%5.2f %11.6f %11.6f %10.3f %%\n", runs[i].temperature, energies[i], exact, 100 * deviation);
    agree = agree && std::abs(deviation) < 0.01;
  }
  std::printf("%s\n", agree ? "all within 1 % of the exact energy" : "NOT all within 1 % of the exact energy");
  return agree ? 0 : 1;
}

int main() { return sweep_temperature(); }
