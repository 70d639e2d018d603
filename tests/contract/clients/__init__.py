"""Programs written with clients that were generated from the contract, and what generates, checks and runs them (`make clients`)."""
