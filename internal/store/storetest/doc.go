// Package storetest holds every engine of the store's log to the same contract.
//
// An engine's test calls Run with a function that names a fresh place and gives back an opener for it. The opener is called
// again after Close to see what was kept. Three more parts stand beside it: Scripts reads the folder testdata, where log and table are
// shown command by command; Model takes a long random walk with a log and a model of it; Law2 lets writers, watchers and
// trouble meet, and wants that nobody is told a wrong story. What only one engine promises, such as how it takes a crash, is
// tested beside that engine.
//
// Random tests print their seed, and take one from SeedVariable.
package storetest
