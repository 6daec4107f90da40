"""The contenders of the speed benchmarks, each in a process of its own."""
