"""Values as people write them: times, amounts of money, addresses of pages, names of events."""
