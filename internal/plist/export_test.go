package plist

// Guard opens the guard to benchmarks.
var Guard = guard
