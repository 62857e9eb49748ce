//go:build !nightly

package store_test

// How often TestLaw2 and TestModel begin anew; see make nightly for more.
const (
	lawRounds  = 6
	modelWalks = 1
)
