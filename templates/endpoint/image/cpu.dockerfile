RUN python3 -m venv /opt/endpoint
