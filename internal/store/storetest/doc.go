// Package storetest holds every engine of the store's log to the same contract.
//
// An engine's test calls Run with a function that names a fresh place and gives back an opener for it. The opener is called
// again after Close to see what was kept. What only one engine promises, such as how it takes a crash, is tested beside
// that engine.
package storetest
