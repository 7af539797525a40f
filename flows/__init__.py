"""flows: the clock. Thin Prefect tasks over the plain functions of `flows.steps`."""
