"""What a picture needs: how it is blurred, and how sharp it is."""
