"""Helpers of the system tests: the lab of network namespaces, its servers, tartlet, the guest."""
