"""The leaderboard as one HTML file that needs no network: what it shows, its charts, its pictures, its looks."""
