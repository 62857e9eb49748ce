// Package job runs pods until as many as a Job asks for have succeeded, and counts each pod's end exactly once.
//
// # Vocabulary
//
// A pod is tracked while it has the finalizer batch.kubernetes.io/job-tracking, which every pod of a job is made with. It is active until it has ended or is being
// deleted, and terminating from then until it has ended. It is freed when the finalizer is taken from it. A job is suspended while its specification
// says so, announced to end when it has the condition FailureTarget or SuccessCriteriaMet, and over when it has Failed or Complete.
//
// # How ends are counted
//
// A tracked pod's end goes through three states, and a write stands between each two of them:
//
//	ended, tracked ──status──▶ in status.uncountedTerminatedPods, tracked ──pod──▶ in the list, free ──status──▶ in the counter
//
// The status is written under the precondition that the job is as it was read, so that two views of one state never count twice; a free pod that is in no list
// is in the counter. So the controller may stop between any two writes. Succeeded pods of an indexed job need no list: that an index has succeeded can
// be said twice.
//
// # Laws
//
//   - Decide is pure: the same job, pods and time give the same decision.
//   - Pods are made and deleted before the status that counts them as if they were; when they cannot be, the ends of others are counted all the same.
//   - A round makes pods or deletes pods, never both, and at most 500; it adds at most 500 ends to the lists.
//   - Never are there more active pods than the parallelism, nor for one index more than one, but for what others made or the specification took back.
//   - Pods that are not needed any more (suspension, less parallelism, an index that two have) are freed before they are deleted, so that they do not count.
//   - A job whose managedBy names another controller is left alone, its pods too.
//   - A free pod stays free; an orphan, and a pod of a job that is over or gone, is freed.
//
// How long a new pod waits after failures follows from the pods that are there: those that failed after the last success. Those that were deleted and are gone are not
// known to have failed any more, so unlike upstream's controller, which remembers them until it restarts, this one does not wait for them, and does wait after a restart.
//
// # What it leaves to others
//
// Removing the pods of a deleted job belongs to garbage, removing jobs that are over to ttlafterfinished and cronjob.
package job
