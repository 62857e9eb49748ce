//go:build !nightly

package pebble

// killRounds is how often TestKill kills; see make nightly for more.
const killRounds = 200
