"""Types that cross the wire between services; imports pydantic only."""
