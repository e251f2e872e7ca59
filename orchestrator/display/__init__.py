"""What a person sees while a run goes on: one view model, a live and a plain display of it."""
