print("byol-dist")
