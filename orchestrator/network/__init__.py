"""How servers are reached from here: proxies, trust, and clients that agree on both."""
