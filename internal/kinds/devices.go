package kinds

// PoolIndex is the index of slices of devices by the pool that they are of, and of claims by the pools that their devices are of, by PoolValue.
const PoolIndex = "pool"

// PoolValue is where a driver's pool stands in PoolIndex. Drivers' names hold no slash.
func PoolValue(driver, pool string) string { return driver + "/" + pool }
