"""What every service on loopback shares, whatever it stands in for: sockets, threads, faults, testers' requests."""
