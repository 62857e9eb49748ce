//go:build nightly

package store_test

const (
	lawRounds  = 250
	modelWalks = 250
)
