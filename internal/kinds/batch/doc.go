// Package batch holds the kinds of the group batch: Job, pods that run to their end, and CronJob, jobs at set times.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its file. Job is large, so its parts have
// files of their own: job.go (the kind, defaults, selector, table), jobspec.go and jobpolicies.go (what may be asked for), jobupdate.go (what may
// change), jobstatus.go (what its controller may say) and indexes.go (the text form of sets of indexes). Schedules are read by package cron.
//
// # What it leaves to others
//
// The pod template is podspec's. Deleting a Job leaves its pods unless the request says otherwise; that is the server's to know.
package batch
