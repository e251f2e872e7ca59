"""What each section of a report says, as frozen values for templates and charts. Pure."""
