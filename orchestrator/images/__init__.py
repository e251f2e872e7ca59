"""Images: finding, building, pulling and evicting them."""
