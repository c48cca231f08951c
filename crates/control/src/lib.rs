//! Takes events in, plans, queues, leases jobs and applies what runners report
