"""report.html: one file that a browser shows, of pure view models, static plots and one table."""
