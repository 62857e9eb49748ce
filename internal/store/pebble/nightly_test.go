//go:build nightly

package pebble

const killRounds = 5000
